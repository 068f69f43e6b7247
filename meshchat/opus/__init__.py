"""The inside of the door `meshchat.codec`: the loaded libopus, and what an Opus packet says about itself."""
