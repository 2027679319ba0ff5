// Linux system calls for Swift. Hot calls are thin wrappers that return -errno, so that Swift
// need not read the thread-local errno.
#pragma once
