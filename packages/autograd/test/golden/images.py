"""Golden cases of convolutions and pooling over one and two axes. See common.py."""
import torch.nn.functional as F

from common import case, inf, nan, normal, special, write

case('conv2d', F.conv2d, normal(2, 3, 6, 7), normal(4, 3, 3, 2))
case('conv2d with bias', F.conv2d, normal(1, 2, 5, 5), normal(3, 2, 3, 3), normal(3))
case('conv2d with stride', lambda x, w: F.conv2d(x, w, stride=(2, 3)), normal(1, 2, 7, 9), normal(2, 2, 3, 3))
case('conv2d with padding', lambda x, w: F.conv2d(x, w, padding=(2, 1)), normal(1, 2, 4, 5), normal(2, 2, 3, 3))
case('conv2d with dilation', lambda x, w: F.conv2d(x, w, dilation=(1, 3)), normal(1, 2, 5, 9), normal(2, 2, 3, 3))
case('conv2d with groups', lambda x, w: F.conv2d(x, w, groups=2), normal(2, 4, 5, 4), normal(6, 2, 2, 3))
case('conv2d of each channel', lambda x, w: F.conv2d(x, w, groups=3, padding=1), normal(1, 3, 4, 5), normal(3, 1, 3, 3))
case('conv2d with everything', lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2), normal(2, 4, 8, 5), normal(4, 2, 3, 2), normal(4))
case('conv2d of one by one', F.conv2d, normal(2, 5, 3, 4), normal(3, 5, 1, 1))
case('convTranspose2d', F.conv_transpose2d, normal(2, 3, 4, 3), normal(3, 2, 3, 2))
case('convTranspose2d with everything', lambda x, w, b: F.conv_transpose2d(x, w, b, stride=(3, 2), padding=(1, 2), output_padding=(2, 1), dilation=(1, 2), groups=2),
     normal(1, 4, 3, 5), normal(4, 3, 3, 3), normal(6))

case('maxPool2d', lambda x: F.max_pool2d(x, 2), normal(2, 3, 6, 7))
case('maxPool2d with stride and padding', lambda x: F.max_pool2d(x, (3, 2), stride=(1, 2), padding=(1, 0)), normal(2, 2, 5, 8))
case('maxPool2d with dilation', lambda x: F.max_pool2d(x, (2, 3), stride=1, dilation=(3, 2)), normal(1, 2, 7, 8))
case('maxPool2d of equals', lambda x: F.max_pool2d(x, 2, stride=1), special(1, 1, 1, 1, 2, 2, 1, 2, 2).reshape(1, 1, 3, 3))
case('special: maxPool2d of NaN and minus infinity', lambda x: F.max_pool2d(x, 2), special(nan, 1, -inf, -inf, 3, 2, -inf, -inf).reshape(1, 1, 2, 4), grad=False, double=False)
case('avgPool2d', lambda x: F.avg_pool2d(x, 2), normal(2, 3, 6, 7))
case('avgPool2d with stride and padding', lambda x: F.avg_pool2d(x, (3, 4), stride=(2, 1), padding=(1, 2)), normal(2, 2, 5, 6))
case('avgPool2d counts what lies inside', lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False), normal(1, 2, 5, 7))
case('maxPool1d', lambda x: F.max_pool1d(x, 3), normal(2, 3, 11))
case('maxPool1d with everything', lambda x: F.max_pool1d(x, 3, stride=2, padding=1, dilation=2), normal(2, 2, 12))
case('avgPool1d', lambda x: F.avg_pool1d(x, 4), normal(2, 3, 11))
case('avgPool1d with stride and padding', lambda x: F.avg_pool1d(x, 3, stride=2, padding=1), normal(2, 2, 9))
case('avgPool1d counts what lies inside', lambda x: F.avg_pool1d(x, 4, stride=3, padding=2, count_include_pad=False), normal(1, 2, 10))

write(__file__)
