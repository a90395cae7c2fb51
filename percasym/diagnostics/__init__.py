"""Why a model is as good as it is: shares of the training signal, causes, associations, misreadings, paired
tests, and what a reward follows.

Nothing is imported here: a training that logs its coupling does not depend on how a report is written.
"""
