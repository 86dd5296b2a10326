#include "common/trace/trace_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/config/config_load.hpp"

namespace eventrelay::trace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Environment = std::map<std::string, std::string>;

constexpr const char* kEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
constexpr const char* kTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

Environment with(Environment more) {
  more.emplace(kEndpoint, "http://127.0.0.1:4318");
  return more;
}

TraceSettings read(const Environment& environment) {
  const auto settings = read_trace_settings(environment, "eventrelay-ingest");
  EXPECT_TRUE(settings.has_value());
  return settings.value_or(TraceSettings{});
}

std::string problem_of(const Environment& environment) {
  try {
    (void)read_trace_settings(environment, "eventrelay-ingest");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing";
}

std::string resource_of(const TraceSettings& settings, std::string_view key) {
  for (const auto& [name, value] : settings.resource) {
    if (name == key) return value;
  }
  return "nothing";
}

TraceId trace_ending(std::uint64_t last) {
  return trace_seed({0, last, 0}).trace;
}

TEST(TraceSettings, WithoutAnEndpointTracingIsOff) {
  EXPECT_FALSE(read_trace_settings({}, "x"));
  EXPECT_FALSE(read_trace_settings({{kEndpoint, ""}}, "x"));
  EXPECT_FALSE(read_trace_settings({{"OTEL_TRACES_SAMPLER", "always_on"}}, "x"));
}

TEST(TraceSettings, TheSdkAndTheExporterCanBeSwitchedOff) {
  for (const char* word : {"true", "TRUE", " True "}) {
    EXPECT_FALSE(read_trace_settings(with({{"OTEL_SDK_DISABLED", word}}), "x"));
  }
  // Then nothing else is looked at.
  EXPECT_FALSE(read_trace_settings({{"OTEL_SDK_DISABLED", "true"}, {kEndpoint, "nonsense"}}, "x"));
  EXPECT_FALSE(read_trace_settings(with({{"OTEL_TRACES_EXPORTER", "none"}}), "x"));
  EXPECT_TRUE(read_trace_settings(
      with({{"OTEL_SDK_DISABLED", "false"}, {"OTEL_TRACES_EXPORTER", "otlp"}}), "x"));
}

TEST(TraceSettings, ThePathOfTracesIsAddedToTheEndpointOfAllSignals) {
  const auto target = [](const char* url) { return read({{kEndpoint, url}}).target; };
  EXPECT_EQ(target("http://collector:4318"), "/v1/traces");
  EXPECT_EQ(target("http://collector:4318/"), "/v1/traces");
  EXPECT_EQ(target("https://host/a/b/"), "/a/b/v1/traces");
}

TEST(TraceSettings, TheEndpointOfTracesIsTakenAsItIs) {
  const auto target = [](const char* url) {
    return read({{kTracesEndpoint, url}, {kEndpoint, "http://other:1"}}).target;
  };
  EXPECT_EQ(target("http://collector:4318"), "/");
  EXPECT_EQ(target("http://collector:4318/"), "/");
  EXPECT_EQ(target("http://collector:4318/spans"), "/spans");
  EXPECT_EQ(target("http://collector:4318/spans/"), "/spans/");
}

TEST(TraceSettings, TheOriginIsThatOfTheUrl) {
  const TraceSettings plain = read({{kEndpoint, "http://[::1]:4318"}});
  EXPECT_FALSE(plain.origin.tls);
  EXPECT_EQ(plain.origin.port, "4318");
  const TraceSettings sealed = read({{kEndpoint, "https://collector.example"}});
  EXPECT_TRUE(sealed.origin.tls);
  EXPECT_EQ(sealed.origin.host, "collector.example");
  EXPECT_EQ(sealed.origin.port, "443");
}

TEST(TraceSettings, HasTheDefaultsOfTheSpecification) {
  const TraceSettings settings = read(with({}));
  EXPECT_EQ(settings.timeout, std::chrono::seconds{10});
  EXPECT_TRUE(settings.headers.empty());
  EXPECT_TRUE(settings.sampler.samples(trace_ending(UINT64_MAX)));
  EXPECT_EQ(settings.resource.front().first, "service.name");
  EXPECT_EQ(settings.resource.front().second, "eventrelay-ingest");
  EXPECT_EQ(resource_of(settings, "telemetry.sdk.language"), "cpp");
}

TEST(TraceSettings, ReadsHeadersWithPercentEncodedValues) {
  const TraceSettings settings = read(
      with({{"OTEL_EXPORTER_OTLP_HEADERS", " Authorization = Bearer%20a%2Cb , , x-tenant=7,"}}));
  ASSERT_EQ(settings.headers.size(), 2U);
  EXPECT_EQ(settings.headers[0].first, "Authorization");
  EXPECT_EQ(settings.headers[0].second.reveal(), "Bearer a,b");
  EXPECT_EQ(settings.headers[1].first, "x-tenant");
}

TEST(TraceSettings, WhatIsOfTracesGoesBeforeWhatIsOfAllSignals) {
  const TraceSettings settings = read(with({{"OTEL_EXPORTER_OTLP_HEADERS", "a=1"},
                                            {"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"},
                                            {"OTEL_EXPORTER_OTLP_TIMEOUT", "1"},
                                            {"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"},
                                            {"OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"}}));
  ASSERT_EQ(settings.headers.size(), 1U);
  EXPECT_EQ(settings.headers[0].first, "b");
  EXPECT_EQ(settings.timeout, std::chrono::milliseconds{2500});
  EXPECT_EQ(settings.ca_file, "/all.pem");
}

TEST(TraceSettings, NamesTheServiceByItsOwnVariableFirst) {
  const char* const attributes = "service.name=b,deployment.environment.name=a%20b";
  EXPECT_EQ(resource_of(read(with({{"OTEL_RESOURCE_ATTRIBUTES", attributes}})), "service.name"),
            "b");
  const TraceSettings settings =
      read(with({{"OTEL_RESOURCE_ATTRIBUTES", attributes}, {"OTEL_SERVICE_NAME", "c"}}));
  EXPECT_EQ(resource_of(settings, "service.name"), "c");
  EXPECT_EQ(resource_of(settings, "deployment.environment.name"), "a b");
}

TEST(TraceSettings, ASamplerThatAsksTheParentIsItsRootSampler) {
  struct Row {
    const char* name;
    const char* argument;
    bool low;  // samples the lowest number, and
    bool high;
  };
  for (const Row& row :
       {Row{"always_on", "", true, true}, Row{"always_off", "", false, false},
        Row{"traceidratio", "", true, true}, Row{"traceidratio", "0.25", true, false},
        Row{"traceidratio", "0", false, false}, Row{"traceidratio", "1e-3", true, false},
        Row{"parentbased_always_on", "", true, true},
        Row{"parentbased_always_off", "", false, false},
        Row{"parentbased_traceidratio", "0.25", true, false},
        Row{"parentbased_traceidratio", "1.0", true, true}, Row{"always_on", "0.5", true, true}}) {
    SCOPED_TRACE(row.name);
    const TraceSettings settings =
        read(with({{"OTEL_TRACES_SAMPLER", row.name}, {"OTEL_TRACES_SAMPLER_ARG", row.argument}}));
    EXPECT_EQ(settings.sampler.samples(trace_ending(0)), row.low);
    EXPECT_EQ(settings.sampler.samples(trace_ending(UINT64_MAX)), row.high);
  }
}

TEST(TraceSettings, RefusesWhatIsWrongByNameValueAndBound) {
  struct Row {
    const char* name;
    std::string value;
    const char* told;
  };
  const std::string long_name(256, 'n');
  for (const Row& row : {
           Row{"OTEL_SDK_DISABLED", "yes", "'yes' is neither true nor false"},
           Row{"OTEL_TRACES_EXPORTER", "zipkin", "'zipkin' is neither otlp nor none"},
           Row{"OTEL_TRACES_SAMPLER", "jaeger_remote", "'jaeger_remote' is none of always_on, "},
           Row{"OTEL_EXPORTER_OTLP_TIMEOUT", "0",
               "'0' is not a whole number of milliseconds from "
               "1 to 600000"},
           Row{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "'10s' is not"},
           Row{"OTEL_EXPORTER_OTLP_TIMEOUT", "600001", "'600001' is not"},
           Row{"OTEL_EXPORTER_OTLP_TIMEOUT", "99999999999999999999", "is not"},
           Row{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "'collector:4318' "},
           Row{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://a", "must begin with https://"},
           Row{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:73979", "the port must be 1..65535"},
           Row{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:-1/", "the port is malformed"},
           Row{"OTEL_SERVICE_NAME", long_name, "is not UTF-8 of at most 255 bytes"},
           Row{"OTEL_SERVICE_NAME", "\xFF", "is not UTF-8 of at most 255 bytes"},
           Row{"OTEL_RESOURCE_ATTRIBUTES", "a", "member 1 is not key=value"},
           Row{"OTEL_RESOURCE_ATTRIBUTES", "a=b,=c", "member 2 is not key=value"},
           Row{"OTEL_RESOURCE_ATTRIBUTES", "a=%2", "member 1: a % is not followed by"},
           Row{"OTEL_RESOURCE_ATTRIBUTES", "a=%FF", "member 1 is not UTF-8 of at most 255"},
           Row{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "'grpc' is not to be had; http/protobuf"},
           Row{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "'http/json' is not to be had"},
           Row{"OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "'gzip' is not to be had; none"},
           Row{"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/a.pem", "can not be shown"},
       }) {
    SCOPED_TRACE(row.name);
    Environment environment = with({});
    environment[row.name] = row.value;
    EXPECT_THAT(problem_of(environment),
                AllOf(StartsWith(std::string(row.name) + ": "), HasSubstr(row.told)));
  }
}

TEST(TraceSettings, RefusesARatioThatIsNone) {
  for (const char* wrong : {"1.1", "-0.1", "half", "0.5x", "nan", "inf", "0,5"}) {
    for (const char* sampler : {"traceidratio", "parentbased_traceidratio"}) {
      EXPECT_EQ(
          problem_of({{"OTEL_TRACES_SAMPLER", sampler}, {"OTEL_TRACES_SAMPLER_ARG", wrong}}),
          std::string("OTEL_TRACES_SAMPLER_ARG: '") + wrong + "' is not a number from 0 to 1");
    }
  }
}

TEST(TraceSettings, TellsNoSecretOfWhatItRefuses) {
  for (const char* wrong : {"Authorization=hush\n", "Authorization=hush%0A", "hush", "a b=hush",
                            "Host=hush", "a=hush%zz", "content-length=hush"}) {
    const std::string problem = problem_of(with({{"OTEL_EXPORTER_OTLP_HEADERS", wrong}}));
    EXPECT_THAT(problem, AllOf(StartsWith("OTEL_EXPORTER_OTLP_HEADERS: "), Not(HasSubstr("hush"))));
  }
  for (const char* wrong : {"https://user:hush@host", "https://host?token=hush"}) {
    EXPECT_THAT(
        problem_of({{kEndpoint, wrong}}),
        AllOf(StartsWith("OTEL_EXPORTER_OTLP_ENDPOINT: the URL must "), Not(HasSubstr("hush"))));
  }
}

TEST(TraceSettings, TellsEveryVariableThatIsWrongAtOnce) {
  EXPECT_THAT(
      problem_of({{"OTEL_TRACES_SAMPLER", "a"}, {"OTEL_EXPORTER_OTLP_TIMEOUT", "b"}}),
      AllOf(HasSubstr("OTEL_TRACES_SAMPLER: "), HasSubstr("\nOTEL_EXPORTER_OTLP_TIMEOUT: ")));
}

TEST(TraceSettings, HoldsItsBounds) {
  std::string headers;
  for (std::size_t i = 0; i < kTraceHeadersMax; ++i) {
    headers.append("h").append(std::to_string(i)).append("=v,");
  }
  EXPECT_EQ(read(with({{"OTEL_EXPORTER_OTLP_HEADERS", headers}})).headers.size(), kTraceHeadersMax);
  EXPECT_THAT(problem_of(with({{"OTEL_EXPORTER_OTLP_HEADERS", headers + "more=v"}})),
              HasSubstr("has more than 32 members"));
}

}  // namespace
}  // namespace eventrelay::trace
