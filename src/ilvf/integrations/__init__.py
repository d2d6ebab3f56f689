"""Parts of this library inside other libraries."""
