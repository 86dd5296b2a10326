#include "ingest/control/authorization.hpp"

#include <gtest/gtest.h>

namespace eventrelay::control {
namespace {

TEST(Authorization, TakesItsPartsInAnyOrderAndCase) {
  for (const char* header : {"User u, Organization o", "organization o, USER u",
                             "  user \t u ,\tOrganization   o  ", "Organization o,User u"}) {
    const auto parts = parse_authorization(header);
    ASSERT_TRUE(parts) << header;
    EXPECT_EQ(parts->user, "u");
    EXPECT_EQ(parts->organization, "o");
    EXPECT_TRUE(parts->element.empty());
  }
  const auto element = parse_authorization("User u==, Element a+/b=, Organization o");
  ASSERT_TRUE(element);
  EXPECT_EQ(element->user, "u==");
  EXPECT_EQ(element->element, "a+/b=");
  EXPECT_EQ(element->organization, "o");
}

TEST(Authorization, RefusesWhatIsNotItsForm) {
  for (const char* header :
       {"", "User", "User ", "User u,", ",User u", "User u, User v", "User u, Organization",
        "Organization o", "Element e", "User u v", "Bearer x", "User u; Organization o",
        "User u, Organization o, Organization o", "User u, Element e, Element e",
        "User u, Password p", "Useru, Organization o"}) {
    EXPECT_FALSE(parse_authorization(header)) << header;
  }
}

ControlConfig config() {
  UserConfig admin;
  admin.id = 100;
  admin.secret = Secret("user-secret");
  UserConfig viewer;
  viewer.id = 101;
  viewer.secret = Secret("viewer-secret");
  viewer.role = UserRole::Viewer;
  AccountConfig account;
  account.id = 10;
  account.users = {admin, viewer};
  OrganizationConfig organization;
  organization.id = 1;
  organization.secret = Secret("organization-secret");
  organization.accounts = {account};
  ControlConfig out;
  out.organizations = {organization};
  return out;
}

TEST(Callers, KnowsUsersByTheirSecretOnly) {
  const Callers callers(config());
  const auto admin = callers.user("user-secret");
  ASSERT_TRUE(admin);
  EXPECT_EQ(admin->user->id, 100U);
  EXPECT_EQ(admin->account->id, 10U);
  EXPECT_TRUE(admin->admin());
  EXPECT_FALSE(callers.user("viewer-secret")->admin());
  for (const char* secret :
       {"", "user-secre", "user-secret ", "USER-SECRET", "organization-secret"}) {
    EXPECT_FALSE(callers.user(secret)) << secret;
  }
  EXPECT_TRUE(Callers::belongs(*admin, "organization-secret"));
  EXPECT_FALSE(Callers::belongs(*admin, "organization-secre"));
  EXPECT_FALSE(Callers::belongs(*admin, ""));
  EXPECT_EQ(callers.find_user(101)->id, 101U);
  EXPECT_EQ(callers.find_user(1), nullptr);
}

TEST(FailureLimit, TellsAnAddressToWait) {
  FailureLimit limit;
  TimePoint now{std::chrono::seconds{1000}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(limit.wait("a", 3, now));
    limit.failed("a", now);
  }
  EXPECT_EQ(limit.wait("a", 3, now), 60U);
  EXPECT_FALSE(limit.wait("b", 3, now));
  EXPECT_FALSE(limit.wait("a", 0, now));
  now += std::chrono::seconds{59};
  EXPECT_EQ(limit.wait("a", 3, now), 1U);
  now += std::chrono::seconds{1};
  EXPECT_FALSE(limit.wait("a", 3, now));
}

}  // namespace
}  // namespace eventrelay::control
