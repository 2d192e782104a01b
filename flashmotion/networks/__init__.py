"""The networks: codec, generator, text, discriminator, adapters."""
