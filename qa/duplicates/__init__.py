"""Items that are nearly the same, found before people pay for them twice."""
