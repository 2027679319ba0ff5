import CNGHTTP2
import HTTP

// What a session is made of.
extension HTTP2Memory {
    /// Makes a session without owner, in this arena.
    func makeSession(
        _ role: HTTP2Role,
        _ settings: HTTP2Settings,
        _ arena: SessionArena
    ) -> OpaquePointer {
        var option: OpaquePointer?
        precondition(nghttp2_option_new(&option) == 0, "out of memory")
        defer { nghttp2_option_del(option) }
        // Back-pressure is that we say ourselves what was taken.
        nghttp2_option_set_no_auto_window_update(option, 1)
        nghttp2_option_set_no_closed_streams(option, 1)
        // It encodes nothing: see `HeaderEncoder`.
        nghttp2_option_set_max_deflate_dynamic_table_size(option, 0)
        nghttp2_option_set_max_reserved_remote_streams(option, 0)
        nghttp2_option_set_max_outbound_ack(option, settings.unreadAnswersMax)
        // Counted here, beside what the peer does that is useful; nghttp2's own limits read a clock,
        // or end the connection without a word why.
        mesh_nghttp2_option_set_stream_reset_rate_limit(option, .max, .max)
        mesh_nghttp2_option_set_max_continuations(option, .max)
        var functions = arena.functions
        var session: OpaquePointer?
        let code =
            switch role {
            case .server: nghttp2_session_server_new3(&session, callbacks, nil, option, &functions)
            case .client: nghttp2_session_client_new3(&session, callbacks, nil, option, &functions)
            }
        guard code == 0, let session else { preconditionFailure("out of memory") }
        arena.finishMaking()
        return session
    }

    /// Says whom callbacks of the session are for.
    func adopt(_ session: OpaquePointer, _ connection: UnsafeMutableRawPointer) {
        nghttp2_session_set_user_data(session, connection)
    }

    /// Queues the first SETTINGS, and the window of the connection.
    func submitSettings(
        _ session: OpaquePointer,
        _ role: HTTP2Role,
        _ settings: HTTP2Settings,
        _ limits: Limits
    ) {
        var entries: [nghttp2_settings_entry] = []
        func add(_ id: nghttp2_settings_id, _ value: Int) {
            entries.append(
                nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(value))
            )
        }
        switch role {
        case .server:
            add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, settings.concurrentStreamsMax)
            add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1)
        case .client:
            add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0)
        }
        add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.initialStreamWindow)
        add(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.fieldSectionBytesMax)
        if settings.headerTableBytes != 4 << 10 {
            add(NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, settings.headerTableBytes)
        }
        if settings.frameBytesMax != 16 << 10 {
            add(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, settings.frameBytesMax)
        }
        nghttp2_submit_settings(session, 0, entries, entries.count)
        nghttp2_session_set_local_window_size(session, 0, 0, Int32(settings.connectionWindow))
    }
}
