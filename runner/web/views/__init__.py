"""One function for each screen: rows in, plain data out. The template and the JSON twin show the same."""
