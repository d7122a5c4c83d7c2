#!/bin/sh
# The guest's first process: the host's files below a layer in memory, control groups
# v2 alone, and then e2e/vm/inside.sh of the repository.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
modprobe -a 9p 9pnet_virtio overlay br_netfilter
ip link set lo up
hostname vm
mkdir -p /host /layer /guest
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host
mount -t tmpfs -o size=4g tmpfs /layer
mkdir -p /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /guest
for d in proc sys dev run; do mount --rbind /$d /guest/$d; done
mkdir -p /guest/lib/modules /guest/run/vm
mount --bind /lib/modules /guest/lib/modules
mount -t cgroup2 cgroup2 /guest/sys/fs/cgroup
echo '+cpu +memory +pids +io +cpuset' >/guest/sys/fs/cgroup/cgroup.subtree_control
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 shared /guest/run/vm
touch /guest/run/vm/started
repository=$(sed -n 's/.*vm\.repository=\([^ ]*\).*/\1/p' /proc/cmdline)
if chroot /guest /bin/bash "$repository/e2e/vm/inside.sh" >/guest/run/vm/log 2>&1; then
	touch /guest/run/vm/passed
fi
sync
echo o >/proc/sysrq-trigger
sleep 10
