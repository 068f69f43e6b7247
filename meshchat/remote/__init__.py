"""The inside of the door `meshchat.control`: its protocol, where it is found, its two ends, and how answers look."""
