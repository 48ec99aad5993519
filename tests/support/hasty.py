"""The service as it is, but impatient: it asks Turbotext again after moments instead of seconds."""

from service.__main__ import main
from service.providers import turbotext

turbotext.POLL_SECONDS = (0.02,)
turbotext.SLOW_POLL_SECONDS = 0.05
turbotext.POLL_TIMEOUT_SECONDS = 0.5
turbotext.PACE_SECONDS = 0.0

if __name__ == "__main__":
    main()
