"""The inside of the door `meshchat.audio`: files, synthetic sounds and sound devices, each on a clock of its own."""
