"""Lasair-ZTF."""
