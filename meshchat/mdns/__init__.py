"""The inside of discovery: what a record says, what has been heard of whom, and a question from a port of its own."""
