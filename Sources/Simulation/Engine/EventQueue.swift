// What happens next in virtual time.

import Time

/// Something that happens at an instant; `subject` and `stamp` mean what `kind` says.
struct Event {
    enum Kind: UInt8 {
        /// Caller `subject` sends its next request.
        case arrival
        /// Attempt `subject` ends as was foreseen when it began.
        case attemptEnd
        /// Attempt `subject` reaches the application behind it, which calls others.
        case applicationCalls
        /// Attempt `subject` has had its time.
        case perTryTimeout
        /// Exchange `subject` makes another attempt.
        case retry
        /// Exchange `subject` makes another attempt beside the running one.
        case hedge
        /// Exchange `subject` has had its time.
        case deadline
        /// The caller of exchange `subject` leaves.
        case cancel
        /// Fault `subject` begins, which cuts off what runs.
        case crash
        /// The timer of balancer `subject` is due.
        case balancer
        /// Balancer `subject` asks all its endpoints whether they are well.
        case healthCheck
        /// Worker `subject` takes up configuration `stamp`.
        case configuration
    }

    let time: MonotonicTime
    let kind: Kind
    let subject: Int32
    /// Tells the user of a slot from its earlier ones, whose events still stand in the queue.
    let stamp: UInt32
    /// Decides between events of one instant: first in, first out.
    fileprivate(set) var order: UInt64 = 0

    init(_ kind: Kind, at time: MonotonicTime, subject: Int, stamp: UInt32 = 0) {
        self.time = time
        self.kind = kind
        self.subject = Int32(subject)
        self.stamp = stamp
    }

    fileprivate func isBefore(_ other: Event) -> Bool {
        time == other.time ? order < other.order : time < other.time
    }
}

/// A binary heap of events by time and then by the order in which they were added.
struct EventQueue {
    private var heap: ContiguousArray<Event> = []
    private var added: UInt64 = 0

    var count: Int { heap.count }

    mutating func add(_ event: Event) {
        var event = event
        event.order = added
        added += 1
        var index = heap.count
        heap.append(event)
        while index > 0 {
            let parent = (index - 1) >> 1
            if !event.isBefore(heap[parent]) { break }
            heap[index] = heap[parent]
            index = parent
        }
        heap[index] = event
    }

    /// Takes the earliest event out; nil when there is none.
    mutating func next() -> Event? {
        guard let last = heap.popLast() else { return nil }
        guard let first = heap.first else { return last }
        let count = heap.count
        var index = 0
        while true {
            var child = index * 2 + 1
            if child >= count { break }
            if child + 1 < count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            if !heap[child].isBefore(last) { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = last
        return first
    }
}
