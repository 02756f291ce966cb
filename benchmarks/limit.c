/* The machine's own limit: start the same command N times, K at a time, and do nothing else.
   limit N K COMMAND...   prints seconds. Children write to the file LIMIT_LOG if it is set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv) {
    int n = atoi(argv[1]), slots = atoi(argv[2]), live = 0;
    const char *log = getenv("LIMIT_LOG");
    posix_spawn_file_actions_t acts;
    posix_spawn_file_actions_init(&acts);
    posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&acts, 1, log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0644);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    while (n > 0 || live > 0) {
        while (n > 0 && live < slots) {
            pid_t pid;
            if (posix_spawnp(&pid, argv[3], &acts, NULL, argv + 3, environ)) return 1;
            n--, live++;
        }
        if (wait(NULL) > 0) live--;
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.6f\n", (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9);
    return 0;
}
