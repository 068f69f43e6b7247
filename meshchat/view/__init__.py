"""What the terminal shows: the pure state of it, the lines drawn from that state, and the widgets that draw them.

Nothing here talks to a daemon. Widgets post what a person wants (`intents`) and are handed a `state.State` to show;
`meshchat.tui` stands between them and the control socket.
"""
