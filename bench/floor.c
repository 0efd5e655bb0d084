/*
 * The floor of an attachment: only the messages to the kernel that every plugin must send. No lease, no look at what
 * exists, no answer.
 *
 *   floor add NETNS BRIDGE NAME ADDRESS GATEWAY   a pair of links, one end a port of BRIDGE, the other one eth0 in NETNS with ADDRESS/16 and a default route
 *   floor del NAME                                removes it, and waits for the kernel as long as that takes
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[4096];
static size_t length;
static struct nlmsghdr *message;
static int expected;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void put(const void *data, size_t size) {
  memcpy(buffer + length, data, size);
  length += NLMSG_ALIGN(size);
  message->nlmsg_len = (uint32_t)(buffer + length - (char *)message);
}

static void begin(uint16_t type, uint16_t flags, const void *head, size_t size) {
  message = (struct nlmsghdr *)(buffer + length);
  *message = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags};
  length += sizeof *message;
  put(head, size);
  expected++;
}

static struct rtattr *attribute(uint16_t type, const void *data, size_t size) {
  struct rtattr *at = (struct rtattr *)(buffer + length), head = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size)};
  put(&head, sizeof head);
  if (size > 0) put(data, size);
  return at;
}

static void end(struct rtattr *nest) { nest->rta_len = (uint16_t)(buffer + length - (char *)nest); }

static int opened(void) {
  struct sockaddr_nl own = {.nl_family = AF_NETLINK};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0) fail("socket");
  return fd;
}

/* Sends the queued messages, and reads as many answers. */
static void flush(int fd) {
  char answer[4096];
  if (send(fd, buffer, length, 0) < 0) fail("send");
  for (; expected > 0; expected--) {
    if (recv(fd, answer, sizeof answer, 0) < 0) fail("recv");
    const struct nlmsgerr *ack = NLMSG_DATA((struct nlmsghdr *)answer);
    errno = -ack->error;
    if (ack->error != 0) fail("refused");
  }
  length = 0;
}

static void add(const char *netns, const char *bridge, const char *name, const char *address, const char *gateway) {
  /*
   * We choose the indices of both ends, so that we need not ask for them. The kernel accepts the peer's index only if
   * this end's is given, too.
   */
  const int index = 1000000;
  struct ifinfomsg up = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP, .ifi_index = index}, peer = {.ifi_index = index};
  struct in_addr ip, via;
  uint32_t master = if_nametoindex(bridge);
  int ns = open(netns, O_RDONLY | O_CLOEXEC), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), host = opened();
  if (ns < 0 || own < 0 || setns(ns, CLONE_NEWNET) < 0) fail(netns);
  int container = opened();
  if (setns(own, CLONE_NEWNET) < 0) fail("setns");
  if (master == 0 || inet_pton(AF_INET, address, &ip) != 1 || inet_pton(AF_INET, gateway, &via) != 1) fail("arguments");

  begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &up, sizeof up);
  attribute(IFLA_IFNAME, name, strlen(name) + 1);
  attribute(IFLA_MASTER, &master, sizeof master);
  struct rtattr *info = attribute(IFLA_LINKINFO, NULL, 0);
  attribute(IFLA_INFO_KIND, "veth", 5);
  struct rtattr *data = attribute(IFLA_INFO_DATA, NULL, 0);
  struct rtattr *other = attribute(VETH_INFO_PEER, NULL, 0);
  put(&peer, sizeof peer);
  attribute(IFLA_IFNAME, "eth0", 5);
  attribute(IFLA_NET_NS_FD, &ns, sizeof ns);
  end(other), end(data), end(info);
  flush(host);

  struct ifaddrmsg to = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = (uint32_t)index};
  begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &to, sizeof to);
  attribute(IFA_LOCAL, &ip, sizeof ip);
  attribute(IFA_ADDRESS, &ip, sizeof ip);
  begin(RTM_NEWLINK, 0, &up, sizeof up);
  struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
  begin(RTM_NEWROUTE, NLM_F_CREATE, &route, sizeof route);
  attribute(RTA_GATEWAY, &via, sizeof via);
  flush(container);
}

static void del(const char *name) {
  struct ifinfomsg head = {0};
  begin(RTM_DELLINK, 0, &head, sizeof head);
  attribute(IFLA_IFNAME, name, strlen(name) + 1);
  flush(opened());
}

int main(int argc, char **argv) {
  if (argc == 7 && strcmp(argv[1], "add") == 0) add(argv[2], argv[3], argv[4], argv[5], argv[6]);
  else if (argc == 3 && strcmp(argv[1], "del") == 0) del(argv[2]);
  else {
    fputs("floor add NETNS BRIDGE NAME ADDRESS GATEWAY | del NAME\n", stderr);
    return 2;
  }
  return 0;
}
