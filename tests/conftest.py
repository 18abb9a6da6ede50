"""What all tests share."""

import signal

# A test run in the background of a script begins with SIGINT ignored, and so would
# every process that the tests start in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
