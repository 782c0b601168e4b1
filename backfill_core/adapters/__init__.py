"""Answers to the ports. Each loads what it needs when it is used."""
