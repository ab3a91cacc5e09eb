"""The objective `determinant`: first a flat leg, then the least product of legs."""
