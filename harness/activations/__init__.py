"""What is measured at a site, and the arrays that come back. No model is needed here."""
