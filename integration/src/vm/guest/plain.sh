#!/bin/busybox sh
# The first process of a guest without a service manager: the usual mounts, the cgroups of the world, the job.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o mode=620,gid=5,ptmxmode=666 pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t securityfs none /sys/kernel/security
mount -t bpf none /sys/fs/bpf
mount -t tmpfs -o mode=755 run /run
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
ip link set lo up
hostname guest

cgroup2='mount -t cgroup2 -o nsdelegate none'
v1() {
    mount -t tmpfs -o mode=755 cgroups /sys/fs/cgroup
    for name in cpuset cpu cpuacct blkio memory devices freezer net_cls perf_event net_prio hugetlb pids rdma misc; do
        mkdir "/sys/fs/cgroup/$name"
        # A controller that this kernel lacks, or has for version 2 alone.
        mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name" 2>/dev/null || rmdir "/sys/fs/cgroup/$name"
    done
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
}
case " $(cat /proc/cmdline) " in
*" world=v1 "*) v1 ;;
*" world=hybrid "*) v1 && mkdir /sys/fs/cgroup/unified && $cgroup2 /sys/fs/cgroup/unified ;;
*) $cgroup2 /sys/fs/cgroup ;;
esac
/job/job.sh
