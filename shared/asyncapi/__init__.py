"""The AsyncAPI document: what programs outside publish to the broker, and, part by part, what they receive from it."""
