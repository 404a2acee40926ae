"""What every test of the session shares."""

import hypothesis

# Generated cases are judged by their result: speed lives in benchmarks/.
hypothesis.settings.register_profile("goldgate", deadline=None)
hypothesis.settings.load_profile("goldgate")
