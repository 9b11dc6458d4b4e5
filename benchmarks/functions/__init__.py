"""Functions that pytest-benchmark times, each in turns with its yardstick; `suite` runs them."""
