"""Which packets of a video to decode (`packets`), and which frames to keep of them (`frames`)."""
