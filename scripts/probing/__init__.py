"""The live service, asked what nobody could look up: what `scripts/probe` runs."""
