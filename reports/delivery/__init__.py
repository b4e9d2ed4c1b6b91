"""Reports that arrive: a saved query, a metric or a page, by mail, once a period, read as those who get them."""
