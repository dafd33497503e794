# Written or run by the documentation build, not by the tests.
collect_ignore = ["_build", "api", "generated", "landing.py", "tutorials"]
