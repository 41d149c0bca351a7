"""Local web pages: the editor of labels."""
