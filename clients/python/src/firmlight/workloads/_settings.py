"""What the owner of a worker decides about the built-in kinds."""

from dataclasses import dataclass

USER_AGENT = "Firmlight/1 (+https://github.com/firmlight/firmlight)"


@dataclass
class Settings:
    """The defaults are safe."""

    crawl_delay: float = 1.0  # seconds, the least between two requests to one host
    crawl_allow_private: bool = False  # let crawl reach private, loopback and link-local addresses
    user_agent: str = USER_AGENT  # its first word is looked up in robots.txt


settings = Settings()
