#!/busybox sh
# What every guest does first, whatever its kernel has built in: the disks, and a hand-over to the world's own init.
# Disks: a the root (changes are lost), b what the job brings along, c the job's script, d swap, e for tests of io.
/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
    [ ! -e "/modules/$module" ] || insmod "/modules/$module"
done </modules/order
mount -t ext4 /dev/vda /root
mkdir -p /root/job /root/vm
mount -t ext4 -o ro,noload /dev/vdb /root/vm
tr -d '\0' </dev/vdc >/root/job/script
mkswap /dev/vdd >/dev/null && swapon /dev/vdd
cp /plain.sh /job.sh /root/job/
cp /job.service /root/etc/systemd/system/
mkdir -p /root/etc/systemd/system/multi-user.target.wants
ln -sf ../job.service /root/etc/systemd/system/multi-user.target.wants/job.service
# Somebody who logs in, with ids that belong to him.
echo "keeper:x:1000:1000::/home/keeper:/bin/sh" >>/root/etc/passwd
echo "keeper:*:20000:0:99999:7:::" >>/root/etc/shadow
echo "keeper:x:1000:" >>/root/etc/group
echo "keeper:300000:65536" | tee -a /root/etc/subuid >>/root/etc/subgid
mkdir /root/home/keeper
chown 1000:1000 /root/home/keeper
case " $(cat /proc/cmdline) " in
*" world=systemd"*) init=/sbin/init ;;
*) init=/job/plain.sh ;;
esac
umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root "$init"
