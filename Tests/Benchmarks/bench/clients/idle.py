"""Opens TLS connections, has one request answered on each, and leaves them open.

Prints "open N" at each of the counts and then waits for a line on standard input.
"""

import sys
import threading

import secure

WORKERS = 4


def main():
    parser = secure.arguments(__doc__)
    parser.add_argument("--counts", required=True, help="rising, with commas")
    given = parser.parse_args()
    tls = secure.context(given)
    held, failures = [], []

    def open_some(indices):
        try:
            for index in indices:
                connection = secure.connect(given, tls, index)
                secure.ask(given, connection)
                held.append(connection)
        except (OSError, IndexError, ValueError) as error:
            failures.append("%s: %s" % (type(error).__name__, error))

    for count in map(int, given.counts.split(",")):
        first = len(held)
        threads = [threading.Thread(target=open_some, args=(range(first + w, count, WORKERS),))
                   for w in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            print("failed %s" % failures[0], flush=True)
            secure.end(1)
        print("open %d" % len(held), flush=True)
        if not sys.stdin.readline():
            break
    secure.end(0)


main()
