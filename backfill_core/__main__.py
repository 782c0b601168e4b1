"""Where the process begins: as the script ``backfill``, and as ``python -m backfill_core``."""


def main() -> None:
    """Loads the commands and carries one out. A Ctrl-C while they load leaves as one does later: in a line."""
    try:
        from backfill_core.cli import main as begin
    except KeyboardInterrupt:
        import os

        os.write(2, b"\nnothing was run\n")
        os._exit(130)
    begin()


if __name__ == "__main__":
    main()
