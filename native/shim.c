/*
 * The shim: the program that a container runtime executes as a plugin. It passes the call to the resident agent and
 * prints the answer. Where there is no agent, or the agent declines the call before it begins, the shim executes
 * netloom-cni, which is beside it, with the same input. docs/agent.md has the protocol.
 *
 * NB: a call that the agent has accepted is never run a second time. If the agent fails after that, the answer is CNI
 * error 11, try again later.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef NETLOOM_BUILD
#define NETLOOM_BUILD "unknown" /* identifies the sources of shim and agent: they work together only if it is the same */
#endif
#ifndef ACCEPT_LIMIT_MS
#define ACCEPT_LIMIT_MS 10000 /* until the agent accepts the call; then netloom-cni is executed */
#endif
#ifndef ANSWER_LIMIT_MS
#define ANSWER_LIMIT_MS 150000 /* from then to the end. Above the agent's own limit of 120 s, so it only applies to an agent that hangs */
#endif

#define MAGIC 0x316d6c6eu     /* "nlm1" */
#define REQUEST_MAX (128 << 10) /* longer ones (a large GC) are not worth passing to the agent */
#define FRAME_MAX (64 << 10)
#define STDIN_MAX ((16 << 20) + 1) /* one byte more than netloom reads, so that netloom reports the error */
#define STDOUT_MAX (16 << 20)

extern char **environ;

#define CURRENT_VERSION "1.1.0" /* of error objects, where the configuration names no version */

/* Prints the error object of the specification, and exits. */
static _Noreturn void fail(const char *version, int code, const char *what, const char *why) {
  dprintf(1, "{\n    \"cniVersion\": \"%s\",\n    \"code\": %d,\n    \"msg\": \"%s: %s\"\n}\n", version, code, what, why);
  _exit(1);
}

/* A growing buffer. */
struct bytes {
  char *data;
  size_t length, room;
};

/* Without memory we can only give up. The kernel would rather kill a process than refuse it memory. */
static void append(struct bytes *to, const void *data, size_t length) {
  if (to->length + length > to->room) {
    size_t room = (to->length + length) * 2 + 4096;
    char *larger = realloc(to->data, room);
    if (larger == NULL) fail(CURRENT_VERSION, 5, "Cannot pass the call on", "out of memory");
    to->data = larger;
    to->room = room;
  }
  if (length > 0) memcpy(to->data + to->length, data, length);
  to->length += length;
}

static void append_string(struct bytes *to, const char *text) { append(to, text, strlen(text) + 1); }

/*
 * @returns whether to retry a read(2) or write(2) that failed: after a signal at once; on a non-blocking pipe of the
 * runtime's when it is ready
 */
static int is_again(int fd, short events) {
  struct pollfd ready = {.fd = fd, .events = events};
  if (errno == EAGAIN) poll(&ready, 1, -1);
  else if (errno != EINTR) return 0;
  return 1;
}

/* @returns 0, or the errno of the failure */
static int write_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t count = write(fd, data, length);
    if (count < 0 && is_again(fd, POLLOUT)) continue;
    if (count < 0) return errno;
    data += count;
    length -= (size_t)count;
  }
  return 0;
}

static long long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* The plugin type: the name that the runtime executed. */
static const char *type_of(const char *argv0) {
  const char *slash = strrchr(argv0, '/');
  return slash == NULL ? argv0 : slash + 1;
}

/*
 * Executes netloom-cni, which is beside this file, under the plugin's name. Input that was already read becomes its
 * stdin.
 */
static _Noreturn void execute(char **argv, const struct bytes *input) {
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - sizeof "netloom-cni");
  if (length > 0) {
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    strcpy(slash == NULL ? path : slash + 1, "netloom-cni");
    if (input != NULL) {
      int fd = memfd_create("stdin", 0);
      if (fd < 0 || write_all(fd, input->data, input->length) != 0 || lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, 0) < 0)
        fail(CURRENT_VERSION, 5, "Cannot keep stdin for netloom-cni", strerror(errno));
      if (fd != 0) close(fd);
    }
    execv(path, argv);
  }
  dprintf(2, "netloom-shim: cannot execute \"%s\", which should be beside this file: %s\n", length > 0 ? path : "/proc/self/exe", strerror(errno));
  fail(CURRENT_VERSION, 108, "Cannot execute netloom-cni, which should be beside its shim", "install it again");
}

/*
 * The configuration's cniVersion, in digits and dots, for error objects. A scan, not a parser: anything that is not a
 * version is ignored.
 */
static void version_of(const struct bytes *input, char *version, size_t size) {
  static const char key[] = "\"cniVersion\"";
  const char *end = input->data + input->length;
  const char *at = input->length == 0 ? NULL : memmem(input->data, input->length, key, sizeof key - 1);
  size_t length = 0;
  snprintf(version, size, CURRENT_VERSION);
  if (at == NULL) return;
  at += sizeof key - 1;
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r' || *at == ':')) at++;
  if (at == end || *at++ != '"') return;
  while (at + length < end && length + 1 < size && ((at[length] >= '0' && at[length] <= '9') || at[length] == '.')) length++;
  if (length == 0 || at + length == end || at[length] != '"') return;
  memcpy(version, at, length);
  version[length] = '\0';
}

/* CNI error 11: the runtime tries again. */
static _Noreturn void try_again(const struct bytes *input, const char *why) {
  char version[16];
  version_of(input, version, sizeof version);
  fail(version, 11, "Cannot finish the call", why);
}

/* @returns whether an agent has left a socket; sets the address where it would be */
static int find_agent(struct sockaddr_un *address) {
  const char *root = getenv("NETLOOM_ROOT");
  address->sun_family = AF_UNIX;
  int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/run/netloom/agent.sock", root == NULL ? "" : root);
  return length >= 0 && (size_t)length < sizeof address->sun_path && access(address->sun_path, F_OK) == 0;
}

/* @returns a connected socket, or -1 where no agent listens. Never waits: an agent with a full queue counts as none. */
static int connect_agent(const struct sockaddr_un *address) {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
    /* A process that is not root must not see a call, let alone answer it. */
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0) return fd;
  }
  close(fd);
  return -1;
}

static void read_stdin(struct bytes *input) {
  char part[16384];
  while (input->length < STDIN_MAX) {
    size_t room = STDIN_MAX - input->length;
    ssize_t count = read(0, part, room < sizeof part ? room : sizeof part);
    if (count < 0 && is_again(0, POLLIN)) continue;
    if (count <= 0) return; /* netloom, or the agent, will report that it is not a configuration */
    append(input, part, (size_t)count);
  }
}

/* Magic, umask, NUL-terminated strings (build, type, the environment, an empty one), then stdin unchanged. */
static void write_request(struct bytes *request, const char *type, const struct bytes *input) {
  uint32_t head[2] = {MAGIC, umask(0)};
  umask(head[1]);
  append(request, head, sizeof head);
  append_string(request, NETLOOM_BUILD);
  append_string(request, type);
  for (char **variable = environ; *variable != NULL && request->length <= REQUEST_MAX; variable++)
    if (**variable != '\0') append_string(request, *variable);
  append_string(request, "");
  append(request, input->data, input->length);
}

/* Sends the request with our network namespace and working directory. @returns whether all of it was sent */
static int send_request(int agent, const struct bytes *request) {
  int fds[2] = {open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof fds)];
  } control = {.space = {0}};
  struct iovec part = {.iov_base = request->data, .iov_len = request->length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int is_sent = 0;
  if (fds[0] >= 0 && fds[1] >= 0) {
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
    is_sent = sendmsg(agent, &message, MSG_NOSIGNAL) == (ssize_t)request->length;
  }
  for (int i = 0; i < 2; i++)
    if (fds[i] >= 0) close(fds[i]);
  return is_sent;
}

/*
 * The next frame. @returns its length, 0 at the end of the connection or for a frame that is too long, -1 where none
 * came in time
 */
static ssize_t receive(int agent, char *frame, long long deadline) {
  for (;;) {
    struct iovec part = {.iov_base = frame, .iov_len = FRAME_MAX};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1}; /* no room for descriptors: the kernel closes any that come */
    ssize_t count = recvmsg(agent, &message, MSG_DONTWAIT);
    if (count >= 0) return (message.msg_flags & MSG_TRUNC) != 0 ? 0 : count;
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return 0;
    long long left = deadline - now_ms();
    if (left <= 0) return -1;
    struct pollfd ready = {.fd = agent, .events = POLLIN};
    poll(&ready, 1, (int)left);
  }
}

/*
 * Waits for the agent to accept the call.
 * @returns 1 where it has accepted, 0 where it has not and never will, -1 where it has but can no longer answer
 */
static int await_acceptance(int agent, char *frame) {
  ssize_t count = receive(agent, frame, now_ms() + ACCEPT_LIMIT_MS);
  if (count > 0) return frame[0] == 'A';
  /*
   * NB: from here on the kernel refuses what the agent sends, so it can no longer accept. What it sent before can still
   * be read.
   */
  shutdown(agent, SHUT_RD);
  while (count != 0) {
    count = receive(agent, frame, 0);
    if (count > 0 && frame[0] == 'A') return -1;
    if (count < 0) break;
  }
  return 0;
}

/*
 * Prints the output, reports this to the agent, and exits with the status. Where printing fails, reports that and
 * returns: an ADD whose result nobody gets is undone. If nobody read the output for so long that the agent has given
 * up, it has undone the call, or does so now; then the output must not count as success. NB: the agent says so before
 * it stops listening. An agent that has died says nothing.
 */
static void print(int agent, char *frame, const struct bytes *output, int status) {
  struct {
    char kind[4];
    int32_t error;
  } reply = {.kind = "k"};
  reply.error = write_all(1, output->data, output->length);
  int is_told = send(agent, &reply, sizeof reply, MSG_NOSIGNAL) > 0;
  if (reply.error != 0) return;
  if (!is_told && receive(agent, frame, 0) > 0 && frame[0] == 'w') {
    dprintf(2, "netloom-shim: nobody read the result until the agent of netloom had given up and undone the call\n");
    _exit(1);
  }
  _exit(status);
}

/* Carries out the agent's frames until the end of the call. */
static _Noreturn void obey(int agent, char *frame, const struct bytes *input) {
  struct bytes output = {0};
  long long deadline = now_ms() + ANSWER_LIMIT_MS;
  for (;;) {
    ssize_t count = receive(agent, frame, deadline);
    if (count > 1 && frame[0] == 'e') {
      write_all(2, frame + 1, (size_t)count - 1);
    } else if (count > 1 && frame[0] == 'o' && output.length + (size_t)count <= STDOUT_MAX) {
      append(&output, frame + 1, (size_t)count - 1);
    } else if (count > 1 && frame[0] == 'p' && output.length + (size_t)count <= STDOUT_MAX) {
      append(&output, frame + 2, (size_t)count - 2);
      print(agent, frame, &output, (unsigned char)frame[1]);
      output.length = 0;
    } else if (count == 2 && frame[0] == 'x') {
      _exit((unsigned char)frame[1]);
    } else {
      if (count < 0) try_again(input, "the agent of netloom did not answer in time");
      if (count > 0 && frame[0] == 'w') try_again(input, "it took too long, and the agent of netloom gave it up");
      if (count == 0) try_again(input, "the agent of netloom ended it, or died");
      try_again(input, "the agent of netloom answered with what is no answer");
    }
  }
}

/*
 * Only commands that read a configuration go to the agent. A traced call does not, nor does one that somebody else's
 * plugin makes within a call of the agent.
 */
static int is_for_agent(void) {
  static const char *const commands[] = {"ADD", "DEL", "CHECK", "GC", "STATUS"};
  const char *command = getenv("CNI_COMMAND");
  if (command == NULL || getenv("NETLOOM_TRACE") != NULL || getenv("NETLOOM_WITHIN") != NULL) return 0;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (strcmp(command, commands[i]) == 0) return 1;
  return 0;
}

/*
 * Occupies the descriptors 0, 1 and 2 where they are closed, for this program and the one that it executes. Otherwise a
 * socket or file could get one of these numbers, and receive the output. Reading and writing still fail with EBADF: an
 * ADD whose result nobody gets is undone.
 */
static void occupy_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) < 0) return;
}

int main(int argc, char **argv) {
  static char frame[FRAME_MAX];
  struct bytes input = {0}, request = {0};
  occupy_standard_streams();
  if (argc < 1 || !is_for_agent()) execute(argv, NULL);
  struct sockaddr_un address = {0};
  if (!find_agent(&address)) execute(argv, NULL);
  /*
   * NB: before the agent learns of the call. Otherwise one of its threads would wait with us for a runtime that writes
   * slowly.
   */
  read_stdin(&input);
  int agent = connect_agent(&address);
  if (agent < 0) execute(argv, &input);
  write_request(&request, type_of(argv[0]), &input);
  int acceptance = 0;
  if (request.length <= REQUEST_MAX && send_request(agent, &request)) acceptance = await_acceptance(agent, frame);
  if (acceptance == 0) {
    close(agent);
    execute(argv, &input);
  }
  /* As netloom itself does: a runtime that is gone is an error to report, not a fatal signal. */
  signal(SIGPIPE, SIG_IGN);
  if (acceptance < 0) try_again(&input, "the agent of netloom did not answer in time");
  obey(agent, frame, &input);
}
