"""What is to be done: the options, their documents, and what is wrong with them."""
