"""The Label Studio door: the protocol of its ML backends."""
