"""third-party-backend: exchanges data with the roaming hub over OICP 2.3."""
