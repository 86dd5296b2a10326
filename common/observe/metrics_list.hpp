// Every metric of both services: kind, name, labels, sentence. Nothing else defines a metric.
//
// Why:     the slab, the exporter, the docs and the alerts read this one list and cannot drift.
// Thread:  constants.  Bounds: labels come from closed enums only, so the series count is fixed.
//
// COUNTER(name, sentence)  COUNTER_BY(name, label, Enum, sentence)  GAUGE(name, sentence)
// HISTOGRAM(name, Bounds, sentence). Names lack the prefix `eventrelay_`; counters end in _total.
// SCRAPED(name, kind, labels, values, most, sentence): made at the scrape by its owner, with
// at most `most` series; `values` says what its labels are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace eventrelay::metrics {

enum class Code : std::uint8_t {
  k200,
  k202,
  k400,
  k401,
  k404,
  k405,
  k408,
  k411,
  k413,
  k414,
  k415,
  k429,
  k431,
  k500,
  k503
};
inline constexpr std::array<std::string_view, 15> kCodeWords{"200", "202", "400", "401", "404",
                                                             "405", "408", "411", "413", "414",
                                                             "415", "429", "431", "500", "503"};

enum class Reject : std::uint8_t {
  Auth,
  Signature,
  TooLarge,
  Malformed,
  UnknownSource,
  Backpressure,
  Draining,
  Timeout
};
inline constexpr std::array<std::string_view, 8> kRejectWords{
    "auth",           "signature",    "too_large", "malformed",
    "unknown_source", "backpressure", "draining",  "timeout"};

// The outcome words of one attempt, also in er-reason and in the attempts log.
enum class Outcome : std::uint8_t {
  Ok,
  Http3xx,
  Http4xx,
  Http5xx,
  Timeout,
  Connect,
  Tls,
  Dns,
  Blocked,
  Reset,
  Protocol,
  Gone,
  TooLarge,
  UnknownInstance  // of a dead letter only
};
inline constexpr std::array<std::string_view, 14> kOutcomeWords{
    "ok",  "http_3xx", "http_4xx", "http_5xx", "timeout", "connect",   "tls",
    "dns", "blocked",  "reset",    "protocol", "gone",    "too_large", "unknown_instance"};

// Why an event went to no subscription.
enum class Unmatched : std::uint8_t { NoSubscription, UnknownInstance, DeletedInstance };
inline constexpr std::array<std::string_view, 3> kUnmatchedWords{
    "no_subscription", "unknown_instance", "deleted_instance"};

// Which further attempt it is: 1 is the second attempt of an event.
enum class RetryStage : std::uint8_t { k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11, k12Up };
inline constexpr std::array<std::string_view, 12> kRetryStageWords{
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12_up"};

// Kinds of handshakes, and why a call that was accepted is not stored.
enum class HandshakeKind : std::uint8_t { Dropbox, Slack, Meta, Graph, CloudEvents, Github };
inline constexpr std::array<std::string_view, 6> kHandshakeWords{
    "dropbox", "slack", "meta", "graph", "cloudevents", "github"};
enum class NotStored : std::uint8_t { Disabled, NoUser, NoUserParameter };
inline constexpr std::array<std::string_view, 3> kNotStoredWords{"disabled", "no_user",
                                                                 "no_user_parameter"};

enum class ProduceFailure : std::uint8_t { QueueFull, Timeout, Broker, Fatal, TooLarge };
inline constexpr std::array<std::string_view, 5> kProduceFailureWords{
    "queue_full", "timeout", "broker", "fatal", "too_large"};

enum class ControlCode : std::uint8_t {
  k200,
  k400,
  k401,
  k403,
  k404,
  k405,
  k406,
  k409,
  k411,
  k413,
  k415,
  k429,
  k431,
  k500,
  k502,
  k503,
  k504
};
inline constexpr std::array<std::string_view, 17> kControlCodeWords{
    "200", "400", "401", "403", "404", "405", "406", "409", "411",
    "413", "415", "429", "431", "500", "502", "503", "504"};

// What became of a request to a provider's API.
enum class ProviderOutcome : std::uint8_t { Ok, Http3xx, Http4xx, Http5xx, Timeout, Unreachable };
inline constexpr std::array<std::string_view, 6> kProviderOutcomeWords{
    "ok", "http_3xx", "http_4xx", "http_5xx", "timeout", "connect"};

enum class RefreshOutcome : std::uint8_t { Ok, InvalidGrant, Failed };
inline constexpr std::array<std::string_view, 3> kRefreshOutcomeWords{"ok", "invalid_grant",
                                                                      "failed"};

enum class Level : std::uint8_t { Debug, Info, Warn, Error };
inline constexpr std::array<std::string_view, 4> kLevelWords{"debug", "info", "warn", "error"};

template <class Enum>
struct Words;
template <>
struct Words<Code> {
  static constexpr auto& kWords = kCodeWords;
};
template <>
struct Words<Reject> {
  static constexpr auto& kWords = kRejectWords;
};
template <>
struct Words<Unmatched> {
  static constexpr auto& kWords = kUnmatchedWords;
};
template <>
struct Words<Outcome> {
  static constexpr auto& kWords = kOutcomeWords;
};
template <>
struct Words<RetryStage> {
  static constexpr auto& kWords = kRetryStageWords;
};
template <>
struct Words<HandshakeKind> {
  static constexpr auto& kWords = kHandshakeWords;
};
template <>
struct Words<NotStored> {
  static constexpr auto& kWords = kNotStoredWords;
};
template <>
struct Words<ProduceFailure> {
  static constexpr auto& kWords = kProduceFailureWords;
};
template <>
struct Words<ControlCode> {
  static constexpr auto& kWords = kControlCodeWords;
};
template <>
struct Words<ProviderOutcome> {
  static constexpr auto& kWords = kProviderOutcomeWords;
};
template <>
struct Words<RefreshOutcome> {
  static constexpr auto& kWords = kRefreshOutcomeWords;
};
template <>
struct Words<Level> {
  static constexpr auto& kWords = kLevelWords;
};

// Upper bounds in nanoseconds, 0.5 ms to 60 s; the objectives are exact edges.
inline constexpr std::array<std::uint64_t, 16> kSeconds{
    500'000,       1'000'000,      2'500'000,      5'000'000,     10'000'000,    25'000'000,
    50'000'000,    100'000'000,    250'000'000,    500'000'000,   1'000'000'000, 2'500'000'000,
    5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000};
// Upper bounds in bytes.
inline constexpr std::array<std::uint64_t, 8> kBytes{256,    1024,    4096,      16'384,
                                                     65'536, 262'144, 1'048'576, 33'554'432};

}  // namespace eventrelay::metrics

// clang-format off
#define EVENTRELAY_METRICS(COUNTER, COUNTER_BY, GAUGE, HISTOGRAM) \
  COUNTER_BY(ingest_requests_total, code, Code, "Requests answered, by HTTP status.") \
  HISTOGRAM(ingest_request_duration_seconds, kSeconds, \
            "From the head was read to the answer was written.") \
  HISTOGRAM(ingest_request_body_bytes, kBytes, "Size of request bodies.") \
  GAUGE(ingest_inflight_requests, "Requests between head and answer.") \
  COUNTER_BY(ingest_rejected_total, reason, Reject, "Requests refused, by reason.") \
  COUNTER_BY(ingest_handshakes_total, kind, HandshakeKind, "Handshakes of providers answered.") \
  COUNTER_BY(ingest_not_stored_total, reason, NotStored, "Genuine calls with nothing to store.") \
  GAUGE(ingest_connections, "Open client connections.") \
  COUNTER(ingest_connections_total, "Client connections accepted.") \
  GAUGE(ingest_produce_queue_messages, "Records handed to the producer and not acknowledged.") \
  GAUGE(ingest_produce_queue_bytes, "Bytes handed to the producer and not acknowledged.") \
  COUNTER_BY(ingest_produce_errors_total, reason, ProduceFailure, "Records Kafka did not take.") \
  COUNTER(ingest_events_total, "Events acknowledged by Kafka.") \
  COUNTER(relay_events_consumed_total, "Events read from Kafka.") \
  COUNTER(relay_folded_total, "Events left out: their provider had sent them before.") \
  COUNTER_BY(relay_deliveries_total, outcome, Outcome, "Attempts, by outcome.") \
  HISTOGRAM(relay_delivery_duration_seconds, kSeconds, \
            "One attempt, from the dial to the last byte.") \
  HISTOGRAM(relay_first_attempt_age_seconds, kSeconds, \
            "From accepted to the first attempt, less the wait for its own subscription.") \
  HISTOGRAM(relay_event_age_seconds, kSeconds, \
            "From accepted by ingest to acknowledged by the callback.") \
  COUNTER_BY(relay_retries_total, stage, RetryStage, \
             "Attempts after the first, by how many were made before.") \
  COUNTER_BY(relay_dead_letters_total, reason, Outcome, "Events given up, by last reason.") \
  COUNTER(relay_attempts_dropped_total, "Lines of the attempts log that were not written.") \
  COUNTER_BY(relay_unmatched_total, reason, Unmatched, \
             "Events read that no subscription got, by reason; of an unknown instance they wait.") \
  COUNTER(relay_parked_total, "Events written to a delay topic.") \
  COUNTER(relay_parked_dropped_total, "Parked events whose subscription is gone.") \
  COUNTER_BY(relay_write_failures_total, reason, ProduceFailure, \
             "Records that Kafka did not take and that are written again.") \
  GAUGE(relay_blocked_partitions, "Partitions that wait because a record can not be written.") \
  COUNTER(relay_detaches_total, "Subscriptions taken off the live path; the log is their queue.") \
  COUNTER(relay_sweeps_total, "Catch-up reads of a partition begun.") \
  COUNTER(relay_swept_records_total, "Records read by catch-up reads and by looks ahead.") \
  COUNTER(relay_rescued_total, "Events moved to the dead letters before retention deleted them.") \
  COUNTER(relay_expired_offsets_total, "Offsets that retention deleted undelivered.") \
  GAUGE(relay_detached_subscriptions, "Detached subscriptions; their events wait in the log.") \
  GAUGE(relay_switched_off_subscriptions, "Subscriptions that are paused and wait to be resumed.") \
  GAUGE(relay_blocked_objects, "Ordered objects that wait for a failed event of theirs.") \
  GAUGE(relay_sweeps_active, "Partitions with a catch-up read under way.") \
  GAUGE(relay_oldest_detached_timestamp_seconds, \
        "Since when the longest detached subscription is detached.") \
  GAUGE(relay_backlog_events, \
        "Records between the cursors of detached subscriptions and the live position.") \
  GAUGE(relay_backlog_oldest_timestamp_seconds, "Since when the oldest event of a backlog waits.") \
  COUNTER(relay_log_restarts_total, "Logs that began anew and are read from their start.") \
  GAUGE(relay_log_start_alerts, "Partitions where retention nears undelivered events.") \
  GAUGE(relay_inflight_deliveries, "Attempts in progress.") \
  GAUGE(relay_circuits_open, "Subscriptions whose circuit breaker is open.") \
  GAUGE(relay_paused_partitions, "Partitions that are not read on, since their window is full.") \
  GAUGE(relay_assigned_partitions, "Partitions this process owns.") \
  GAUGE(relay_queued_bytes, "Bytes of events read and not finished.") \
  GAUGE(relay_oldest_unread_timestamp_seconds, \
        "Since when the oldest event waits that no relay has read.") \
  GAUGE(relay_oldest_pending_timestamp_seconds, "When the oldest unfinished event was received.") \
  GAUGE(relay_last_delivery_timestamp_seconds, "When a subscriber last took an event.") \
  COUNTER(kafka_rebalances_total, "Assignments taken or given up.") \
  COUNTER(kafka_consumer_errors_total, "Errors and offset gaps met while reading.") \
  COUNTER(kafka_tx_retries_total, "Requests librdkafka sent again.") \
  COUNTER(kafka_request_timeouts_total, "Requests that timed out.") \
  GAUGE(kafka_throttle_seconds, "Broker throttle time, average.") \
  GAUGE(kafka_producer_queue_messages, "Messages in the producer's queues.") \
  GAUGE(kafka_compression_active, "1 while less is sent to Kafka than the records are long.") \
  GAUGE(kafka_broker_rtt_seconds, "Round trip to the slowest broker, p95.") \
  COUNTER(kafka_producer_rebuilds_total, "Producers rebuilt after a fatal error.") \
  COUNTER(kafka_producer_epoch_bumps_total, "Producer ids or epochs obtained after the first.") \
  GAUGE(registry_instances, "Instances of the registry in Kafka that are in force.") \
  GAUGE(registry_unreadable_documents, "Documents of the registry that can not be read.") \
  COUNTER(registry_changes_total, "Changes of instances taken from the registry in Kafka.") \
  COUNTER_BY(control_requests_total, code, ControlCode, "API calls, by HTTP status.") \
  GAUGE(control_role, "1 if this process holds the control role.") \
  COUNTER_BY(provider_requests_total, box_outcome, ProviderOutcome, \
             "Requests to the API of a provider, by outcome.") \
  COUNTER_BY(provider_token_refreshes_total, outcome, RefreshOutcome, \
             "Access tokens asked for anew, by outcome.") \
  GAUGE(ready, "1 if the service is ready, as /readyz says.") \
  COUNTER(admin_refused_total, "Admin requests with a wrong bearer token, or none.") \
  GAUGE(config_last_reload_successful, "1 if the last reload took effect.") \
  GAUGE(config_last_reload_success_timestamp_seconds, "When a configuration last took effect.") \
  COUNTER_BY(log_messages_total, level, Level, "Log lines written, by level.") \
  GAUGE(event_loop_lag_seconds, "How late the shard's loop ran, worst of the last interval.") \
  COUNTER(event_loop_exceptions_total, "Exceptions caught by a shard's loop; each is a bug.")

#define EVENTRELAY_SCRAPED(SCRAPED) \
  SCRAPED(memory_limit_bytes, "gauge", "what", "memory_max, cgroup", 2, \
          "Bytes that may be used, by the limit.") \
  SCRAPED(config_hash_info, "gauge", "hash", "the same wherever the configuration is the same", 1, \
          "Hash of the configuration in force, without instances; always 1.") \
  SCRAPED(tls_certificate_expiry_timestamp_seconds, "gauge", "file", "at most 20", 20, \
          "When a certificate in use ends.") \
  SCRAPED(ingest_source_last_event_timestamp_seconds, "gauge", "source", "at most 100", 100, \
          "When a source last sent an event that was genuine.") \
  SCRAPED(ingest_signature_key_uses_total, "counter", "source,slot", \
          "at most 100; primary, secondary, third", 300, \
          "Requests that a key of a source has verified, by the place of the key in its list.") \
  SCRAPED(trace_spans_total, "counter", "", "", 1, "Spans of sampled traces that have ended.") \
  SCRAPED(trace_spans_dropped_total, "counter", "", "", 1, \
          "Spans that have ended and that no collector has taken.") \
  SCRAPED(relay_kafka_available, "gauge", "", "", 1, \
          "1 while Kafka answers and every topic is as it must be, else 0.") \
  SCRAPED(relay_subscription_backlog_events, "gauge", "subscription", "the largest 20", 20, \
          "Records that wait for a detached subscription.") \
  SCRAPED(relay_subscription_backlog_events_max, "gauge", "", "", 1, \
          "The largest backlog of a subscription.") \
  SCRAPED(relay_subscription_oldest_pending_seconds, "gauge", "subscription", "the longest 20", \
          20, \
          "How long the oldest event of a subscription waits.") \
  SCRAPED(relay_subscription_oldest_pending_seconds_max, "gauge", "", "", 1, \
          "How long the oldest event of any subscription waits.") \
  SCRAPED(kafka_consumer_lag_messages, "gauge", "topic", "events, retry.<step>", 13, \
          "Messages behind the end of the log, in the partitions owned.")
// clang-format on
