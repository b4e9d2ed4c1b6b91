"""The one way into raw: extracts, the contract pass, dlt."""
