"""From a lot of sources to drafts, and from drafts to review and back."""
