"""Programs that call a proxy over mutual TLS; run by file, so that they start fast."""
