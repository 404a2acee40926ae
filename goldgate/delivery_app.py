"""The commands of delivery and of a contract's end, put onto the command line."""

import typer

from goldgate import clocks_commands, delivery_commands, package_commands


def add_delivery(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(delivery_commands.keypair_app, name="keypair")
    app.command("checkpoint")(delivery_commands.checkpoint)
    app.command("verify-log")(delivery_commands.verify_log)
    app.command("deliver")(package_commands.deliver)
    app.command("verify")(package_commands.verify)
    app.command("unpack")(package_commands.unpack)
    app.add_typer(clocks_commands.blocker_app, name="blocker")
    app.command("clocks")(clocks_commands.clocks)
    app.command("destroy")(delivery_commands.destroy)
    app.command("verify-certificate")(delivery_commands.verify_certificate)
