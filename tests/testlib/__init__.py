"""What the test runner and the tests themselves are made with."""
