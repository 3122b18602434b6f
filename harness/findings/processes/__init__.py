"""Do components serve a process, or only a question: contrasts by relation, over relations."""
