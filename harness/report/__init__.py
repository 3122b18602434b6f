"""From records to one HTML file: `view` decides what is shown, `rendering` writes the page."""
