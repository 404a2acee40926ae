"""X-AnyLabeling's label files of images and videos."""
