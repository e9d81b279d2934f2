"""An audit in the formats that its readers already use, one module each."""
