# What made the records in this folder, in a clone; DATA is where TFDS keeps its data.
# Lines of solvers that have since been replaced were taken out. Untrained encoders are
# drawn with a seed since; those of layers, few-shot and dense evaluations and of
# fine-tuning were drawn before, each command's anew.
data="--data_dir=${DATA:?}"
both="--subject=encoder --subject=random_init"
embedded="--run_dir=runs/embedded"
cifar10="--run_dir=runs/cifar10"

python tools/train.py --gin_file=methods/simclr.gin --gin_file=proofs/embedded.gin \
    --precision=mixed_bfloat16 $embedded
python tools/train.py --gin_file=methods/simclr.gin --gin_file=proofs/cifar10.gin \
    --gin="train.split = 'train'" --gin="train.epochs = 6" \
    --gin="OnlineEvaluation.every_epochs = 3" \
    --gin="OnlineEvaluation.train_split = 'train[:10000]'" \
    --precision=mixed_bfloat16 $data $cifar10

evaluate() { python tools/evaluate.py "$@"; }
evaluate $embedded --evaluation=knn --evaluation=few_shot --evaluation=clustering \
    --evaluation=retrieval $both --seeds=3 --leakage
# Of raw pixels clustering was stopped after two seeds.
evaluate $embedded --evaluation=knn --evaluation=few_shot --evaluation=clustering \
    --subject=raw_pixels --seeds=3 --leakage
evaluate $embedded --evaluation=retrieval --subject=raw_pixels --seeds=3
evaluate $embedded --evaluation=linear $both --subject=raw_pixels --leakage
evaluate $embedded --evaluation=svm $both --subject=raw_pixels --leakage
evaluate $embedded --evaluation=layers $both
evaluate $embedded --evaluation=linear_sgd --gin='linear_sgd.epochs = 10' $both
evaluate $embedded --evaluation=fine_tune --gin='fine_tune.fraction = 0.01' $both --seeds=3
evaluate $embedded --evaluation=segmentation --data='embedded:32?truth=mask' $both
evaluate $embedded --evaluation=segmentation_fcn --data='embedded:32?truth=mask' \
    --gin='segmentation_fcn.steps = 200' $both
evaluate $embedded --evaluation=depth --data='embedded:32?truth=depth' $both
evaluate $embedded --evaluation=detection --data='embedded:32?truth=boxes' \
    --gin='detection.steps = 200' $both
for name in knn linear few_shot clustering retrieval; do
    evaluate $embedded --evaluation=$name --subject=random_init --seeds=3
done

evaluate $cifar10 $data --evaluation=knn $both
evaluate $cifar10 $data --evaluation=retrieval --evaluation=few_shot $both --seeds=3
evaluate $cifar10 $data --evaluation=linear --subject=encoder --leakage
python tools/transfer.py $cifar10 --suite=small $data --subject=encoder
ten="--train_split=train[:10000]"
evaluate $cifar10 $data $ten --evaluation=linear $both --subject=raw_pixels
evaluate $cifar10 $data $ten --evaluation=knn --subject=raw_pixels --leakage
evaluate $cifar10 $data $ten --evaluation=clustering $both
evaluate $cifar10 $data $ten --evaluation=svm $both
evaluate $cifar10 $data $ten --evaluation=layers $both
evaluate $cifar10 $data $ten --evaluation=linear_sgd --gin='linear_sgd.epochs = 3' $both
evaluate $cifar10 $data $ten --evaluation=knn --evaluation=linear \
    --evaluation=clustering --subject=random_init --seeds=3
evaluate $cifar10 $data --evaluation=fine_tune --gin='fine_tune.fraction = 0.01' $both \
    --seeds=3
nuclei='tfds:dsb2018_nuclei256?instances=instance_mask'
evaluate $cifar10 $data --evaluation=segmentation --data="$nuclei" --image_size=128 $both
evaluate $cifar10 $data --evaluation=segmentation_fcn --data="$nuclei" --image_size=128 \
    --gin='segmentation_fcn.steps = 200' $both
evaluate $cifar10 $data --evaluation=detection --image_size=256 \
    --data='tfds:bccd?boxes=objects/bbox&box_label=objects/label' \
    --gin='detection.steps = 200' --gin='detection.batch_size = 8' $both

# SimCLRv2: rows of the first stage as they are; those of the classifiers, which saw the
# labels of a tenth of train, under the names of their stages.
pipeline() {
    python tools/simclr_v2.py --gin_file=methods/simclr_v2.gin --fraction=0.1 \
        --student=encoders/small_resnet.gin --distil='train.epochs = 4' \
        --tune_epochs=15 --precision=mixed_bfloat16 "$@"
}
pipeline --gin_file=proofs/embedded.gin --run_dir=runs/simclr_v2_embedded
pipeline --gin_file=proofs/cifar10.gin --gin="train.split = 'train[:10000]'" \
    --gin='train.epochs = 8' --run_dir=runs/simclr_v2_cifar10 $data
