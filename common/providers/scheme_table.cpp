// The rows. Each cites the provider's own page; its vectors are in tests/unit/common/providers.
#include <algorithm>

#include "common/providers/scheme.hpp"

namespace eventrelay::providers {

namespace {

using std::chrono::milliseconds;

constexpr Window kFiveMinutes{milliseconds{300'000}, milliseconds{300'000}};
constexpr std::array<Piece, 8> kBodyAlone{Piece::Body};

// Standard Webhooks under whatever field names.
constexpr Scheme standard_webhooks(std::string_view name, std::string_view id,
                                   std::string_view timestamp, std::string_view signature) {
  return {.name = name,
          .key = KeyCoding::Whsec,
          .text = {Piece::Id, Piece::Dot, Piece::Timestamp, Piece::Dot, Piece::Body},
          .coding = Coding::Base64,
          .form = Form::SpaceList,
          .tag = "v1",
          .public_tag = "v1a",
          .signature = {signature},
          .timestamp = timestamp,
          .stamp = Stamp::Seconds,
          .window = kFiveMinutes,
          .id = id};
}

// Rows differ in few fields; the rest keeps its default.
constexpr std::array<Scheme, 17> kSchemes{{
    // developer.box.com/guides/webhooks/v2/signatures-v2
    {.name = "box-v2",
     .text = {Piece::Body, Piece::Timestamp},
     .coding = Coding::Base64,
     .keys = Keys::OnePerHeader,
     .signature = {"BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"},
     .timestamp = "BOX-DELIVERY-TIMESTAMP",
     .stamp = Stamp::Rfc3339,
     .id = "BOX-DELIVERY-ID",
     .fixed = {FixedField{"BOX-SIGNATURE-VERSION", "1"},
               FixedField{"BOX-SIGNATURE-ALGORITHM", "HmacSHA256"}}},
    // docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
    {.name = "github",
     .text = kBodyAlone,
     .form = Form::Prefix,
     .tag = "sha256=",
     .signature = {"X-Hub-Signature-256"},
     .id = "X-GitHub-Delivery"},
    // developers.facebook.com/docs/graph-api/webhooks/getting-started
    {.name = "meta",
     .text = kBodyAlone,
     .form = Form::Prefix,
     .tag = "sha256=",
     .signature = {"X-Hub-Signature-256"}},
    // docs.stripe.com/webhooks/signature; the secret is used as it is, whsec_ included
    {.name = "stripe",
     .text = {Piece::Timestamp, Piece::Dot, Piece::Body},
     .form = Form::KeyValueList,
     .tag = "v1",
     .signature = {"Stripe-Signature"},
     .stamp = Stamp::Seconds,
     .window = kFiveMinutes},
    // shopify.dev/docs/apps/build/webhooks/verify-deliveries
    {.name = "shopify",
     .text = kBodyAlone,
     .coding = Coding::Base64,
     .signature = {"X-Shopify-Hmac-SHA256", "Shopify-Hmac-SHA256"},
     .id = "X-Shopify-Webhook-Id"},
    // docs.slack.dev/authentication/verifying-requests-from-slack
    {.name = "slack",
     .text = {Piece::V0, Piece::Colon, Piece::Timestamp, Piece::Colon, Piece::Body},
     .form = Form::Prefix,
     .tag = "v0=",
     .signature = {"X-Slack-Signature"},
     .timestamp = "X-Slack-Request-Timestamp",
     .stamp = Stamp::Seconds,
     .window = kFiveMinutes},
    // github.com/standard-webhooks/standard-webhooks, spec 1.0.0
    standard_webhooks("standard", "webhook-id", "webhook-timestamp", "webhook-signature"),
    // docs.svix.com/receiving/verifying-payloads/how-manual
    standard_webhooks("svix", "svix-id", "svix-timestamp", "svix-signature"),
    // developer.zendesk.com/documentation/webhooks/verifying; no limit stated, ours is Box's
    {.name = "zendesk",
     .text = {Piece::Timestamp, Piece::Body},
     .coding = Coding::Base64,
     .signature = {"X-Zendesk-Webhook-Signature"},
     .timestamp = "X-Zendesk-Webhook-Signature-Timestamp",
     .stamp = Stamp::Rfc3339},
    // developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication
    {.name = "hubspot-v3",
     .text = {Piece::Method, Piece::Uri, Piece::Body, Piece::Timestamp},
     .uri = UriForm::HubspotDecoded,
     .coding = Coding::Base64,
     .signature = {"X-HubSpot-Signature-v3"},
     .timestamp = "X-HubSpot-Request-Timestamp",
     .stamp = Stamp::Millis,
     .window = {milliseconds{300'000}, milliseconds{60'000}}},
    // developers.hubspot.com/docs/faq/v1-request-validation
    {.name = "hubspot-v2",
     .proof = Proof::Hash,
     .text = {Piece::Key, Piece::Method, Piece::Uri, Piece::Body},
     .signature = {"X-HubSpot-Signature"},
     .fixed = {FixedField{"X-HubSpot-Signature-Version", "v2", true}}},
    {.name = "hubspot-v1",
     .proof = Proof::Hash,
     .text = {Piece::Key, Piece::Body},
     .signature = {"X-HubSpot-Signature"},
     .fixed = {FixedField{"X-HubSpot-Signature-Version", "v1", true}}},
    // www.twilio.com/docs/usage/security
    {.name = "twilio",
     .proof = Proof::Twilio,
     .digest = crypto::Digest::Sha1,
     .coding = Coding::Base64,
     .signature = {"X-Twilio-Signature"}},
    // learn.microsoft.com/graph/change-notifications-delivery-webhooks
    {.name = "microsoftgraph", .proof = Proof::ClientState},
    // RFC 6750, section 2.1
    {.name = "bearer", .proof = Proof::Bearer, .signature = {"Authorization"}},
    // www.dropbox.com/developers/reference/webhooks
    {.name = "dropbox", .text = kBodyAlone, .signature = {"X-Dropbox-Signature"}},
    // docs.cloud-elements.com/home/hash-verification: base64 behind a prefix usual with hex
    {.name = "elements",
     .text = kBodyAlone,
     .coding = Coding::Base64,
     .form = Form::Prefix,
     .tag = "sha256=",
     .signature = {"Elements-Webhook-Signature"},
     .id = "Elements-Webhook-Id"},
}};

}  // namespace

std::span<const Scheme> schemes() noexcept {
  return kSchemes;
}

const Scheme* find_scheme(std::string_view name) noexcept {
  const auto* const found = std::find_if(kSchemes.begin(), kSchemes.end(),
                                         [name](const Scheme& row) { return row.name == name; });
  return found == kSchemes.end() ? nullptr : found;
}

}  // namespace eventrelay::providers
